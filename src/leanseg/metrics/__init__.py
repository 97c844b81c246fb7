"""Scores of binary masks and probabilities, one class at a time.

Masks are boolean arrays, (H, W) or (D, H, W); ``valid`` is True where scores count (None: everywhere).

Conventions, the same in every file of this room:

* truth and prediction both empty: the score is None. The caller counts such images apart and says how many there are;
  ``both_empty`` marks them. None also stands for a score that a case cannot have (sensitivity without truth, say).
* truth present, nothing predicted (missed): the worst value, Dice 0 and surface distances as long as the image's
  diagonal. A miss is never dropped.
* truth empty, something predicted: the worst value likewise.
"""
