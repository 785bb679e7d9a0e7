"""The story of a light source: images of X-ray speckles from the detector's folder to a plot and an index, as one flow."""
