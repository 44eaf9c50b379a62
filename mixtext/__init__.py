"""MixText and the mixup family for text: semi-supervised classification from few labels."""
