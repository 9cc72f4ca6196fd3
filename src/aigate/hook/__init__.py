"""The door inside an MLflow server: its registry itself refuses an ungated move of a protected alias.

`mlflow server --registry-store-uri aigate+sqlite:///…` (or
`aigate+postgresql://…`) with `AIGATE_GUARD` naming the guard file.
"""
