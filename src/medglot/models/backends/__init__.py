"""Ways to run a model, one file each: see `medglot.models.base.Backend`."""
