"""Fine-tuning: one run of one task, from its files to scores, predictions and the submission file."""
