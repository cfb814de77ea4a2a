"""HTTP, independent of jobs: envelope, problems, connections, middleware, requests and responses."""
