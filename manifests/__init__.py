"""Documents on disk: YAML text with positions, `artifact.yml`, an entry's documents, CONFIG_DIR's generations.

`manifests` may import `core`; it knows nothing of Docker, git, settings or the loop.
"""
