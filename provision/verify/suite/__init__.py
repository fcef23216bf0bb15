"""The tests that every node's plan gets: `pytest --pyargs provision.verify.suite --provision-inventory FILE`."""
