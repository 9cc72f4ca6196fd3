"""The demonstration: a real failure on a real MLflow server, told in five acts.

Nothing in it is pretended. The server is MLflow's own, the endpoints answer
over HTTP, the models are trained and measured here, and what the gate says is
the output of the command anybody would type. Everything runs on loopback and
is ended and removed afterwards.
"""
