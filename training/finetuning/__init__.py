"""Fine-tuning of the text encoder, and what a fine-tuned encoder must not be measured on."""
