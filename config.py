from provision.engines.pyinfra.connection import without_delay

without_delay()
