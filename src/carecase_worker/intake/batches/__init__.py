"""The PUT routes: a body is received, split, admitted as a job; or only validated."""
