"""Evidence in: the only room that reads MLflow, freshness endpoints and files. It never writes."""
