"""Looks at what runs: a module each for one kind of observation, which becomes values of `core`. Changes nothing."""
