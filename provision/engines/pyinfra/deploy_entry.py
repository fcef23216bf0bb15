"""The deploy.py that `provision apply` hands to pyinfra where the working directory has none."""

from provision.engines.pyinfra.deploy import converge

converge()
