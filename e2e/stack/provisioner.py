"""The provisioner: makes the tables and buckets of CONFIG_DIR/resources.yml that are missing, then ends.

A one-shot with boto3, after consumers.md PR1: what exists already is fine and left as it is, nothing is deleted. Two
switches are for tests: FAIL ends it with an error before it does anything, SLEEP makes it wait that many seconds.
"""

import os
import sys
import time
from pathlib import Path
from typing import Any

import boto3  # type: ignore[import-not-found] # a requirement of the stack's image, not of the project
import yaml

RESOURCES = Path("/app/config/resources.yml")
THERE = ("ResourceInUseException", "BucketAlreadyOwnedByYou", "BucketAlreadyExists")


def main() -> int:
    """Make what is missing; 0 when everything is there afterwards."""
    time.sleep(float(os.environ.get("SLEEP") or 0))
    if os.environ.get("FAIL"):
        print("provisioner: told to fail", file=sys.stderr, flush=True)
        return 3
    document = yaml.safe_load(RESOURCES.read_text(encoding="utf-8")) or {}
    resources = document.get("resources") or {}
    access = {
        "endpoint_url": os.environ["ENDPOINT"],
        "aws_access_key_id": "test",
        "aws_secret_access_key": "test",
        "region_name": "ap-northeast-1",
    }
    tables, buckets = boto3.client("dynamodb", **access), boto3.client("s3", **access)
    for table in resources.get("dynamodb") or []:
        make(f"table {table['TableName']}", tables.create_table, tables.exceptions, request(table))
    for bucket in resources.get("s3") or []:
        place = {"LocationConstraint": access["region_name"]}
        wanted = {"Bucket": bucket["BucketName"], "CreateBucketConfiguration": place}
        make(f"bucket {bucket['BucketName']}", buckets.create_bucket, buckets.exceptions, wanted)
    return 0


def request(table: dict[str, Any]) -> dict[str, Any]:
    """The call that makes a table: on demand unless the template says otherwise, without what only templates know."""
    known = ("AttributeDefinitions", "BillingMode", "GlobalSecondaryIndexes", "KeySchema", "TableName")
    wanted = {key: table[key] for key in known if key in table}
    return {"BillingMode": "PAY_PER_REQUEST", **wanted}


def make(what: str, call: Any, exceptions: Any, wanted: dict[str, Any]) -> None:
    """Call, and take "it is there already" for success (PR1)."""
    try:
        call(**wanted)
    except exceptions.ClientError as problem:
        if problem.response["Error"]["Code"] not in THERE:
            raise
        print(f"provisioner: {what} already exists", flush=True)
    else:
        print(f"provisioner: {what} created", flush=True)


if __name__ == "__main__":
    sys.exit(main())
