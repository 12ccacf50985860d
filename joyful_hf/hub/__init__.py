"""The Hub: checkpoints that are pushed with their card, and with their code if wanted."""
