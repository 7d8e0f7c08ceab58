"""What a file holds: k-space, its transforms and views, readers and writers, phantoms and sample data. NumPy only."""
