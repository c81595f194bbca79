"""Sound: features, notes, synthesis and the losses that compare sounds."""
