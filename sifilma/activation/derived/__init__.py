"""What follows from activations and manifests, counted to be read fast. No act rests on it; `fsck` counts anew."""
