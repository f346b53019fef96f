"""Models, samples and answers: the arrays of the classifier as rows of the database."""
