"""The plan through Ansible: what the collection's plugins share. Nothing here imports Ansible; the plugins do."""
