"""The layers of the pipeline, a file each; `coffee_core.http.pipeline` has their order."""
