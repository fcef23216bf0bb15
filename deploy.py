from provision.pyinfra import converge

converge()
