"""The page for jobs: what people look at in a browser."""
