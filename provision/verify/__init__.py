"""Verification of nodes against their plan, through testinfra's own modules and never through our probe.

Imports nothing: every pytest of an environment loads the plugin in this room.
"""
