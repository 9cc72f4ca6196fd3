"""The same demand put to MLflow's own validator, with results that are already at hand."""

import sys

import mlflow
from mlflow.models import EvaluationResult, MetricThreshold
from mlflow.models.evaluation.validation import ModelValidationFailedException

thresholds = {"accuracy": MetricThreshold(threshold=0.92, greater_is_better=True)}
candidate = EvaluationResult(metrics={"accuracy": 0.71}, artifacts={})
baseline = EvaluationResult(metrics={"accuracy": 0.94}, artifacts={})
try:
    mlflow.validate_evaluation_results(
        validation_thresholds=thresholds, candidate_result=candidate, baseline_result=baseline
    )
except ModelValidationFailedException as e:
    sys.exit(str(e))
