"""How a command ended, told to machines that run it: GitHub, readers of JUnit XML, readers of SARIF."""
