"""Run -> features -> table: extraction, stage-wise evaluation, readouts, finetuning, transfer, models of others."""
