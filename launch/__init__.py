"""Programs over the library: pretraining, fine-tuning, prediction, and what runs have come to."""
