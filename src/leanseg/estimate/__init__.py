"""How well a model works where no labels are: for a set of images, and for a single prediction."""
