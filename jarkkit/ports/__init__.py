"""One module or package per outside system. Only these import boto3, kubernetes or helm_python,
start Terraform, or write a deployment's files. They return our values and translate errors."""
