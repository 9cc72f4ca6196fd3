"""Recorded evidence, judged once more: one decision, thousands of snapshots, or one with a failure put into it.

Nothing here asks the world for evidence, moves anything, or writes.
"""
