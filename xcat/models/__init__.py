"""Models and labelled samples: between the database and the arrays of the classifier."""
