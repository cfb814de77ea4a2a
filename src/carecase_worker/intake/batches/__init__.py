"""The PUT routes: a body is received, split, and admitted as a job or only validated."""
