"""Files that the worker writes for whoever asked: long lists, many manifests, papers to be printed."""
