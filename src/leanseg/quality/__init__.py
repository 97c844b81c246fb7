"""What a bundle knows about its own answers: expected scores with intervals, and images unlike those of training."""
