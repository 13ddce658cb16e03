"""Decisions, and nothing but decisions: values in, values out.

`core` never touches a file, a process, the network, a clock, randomness, the environment or a log; whatever it
needs of them is an argument. `manifests` and `controller` import it; it imports neither.
"""
