"""The webhook receiver: MLflow's events wake the watcher, and a look finds what was moved past the gate.

A delivery is a hint and never a fact: it says where to look, and everything
that is told or done rests on what the registry and the ledger say then. What
no delivery told of is found by the clock.
"""
