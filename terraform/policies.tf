# Who may do what, as documents to attach. Nothing here is attached to anybody by itself.

locals {
  bucket     = coalesce(var.state.bucket, "hybrid-tfstate-${data.aws_caller_identity.current.account_id}")
  bucket_arn = "arn:${data.aws_partition.current.partition}:s3:::${local.bucket}"
  state_arn  = "${local.bucket_arn}/env:/${terraform.workspace}/hybrid/terraform.tfstate"

  table_arns = [
    for table in compact([local.lock_table]) :
    "arn:${data.aws_partition.current.partition}:dynamodb:${var.region}:${data.aws_caller_identity.current.account_id}:table/${table}"
  ]

  policies = {
    push          = one(module.registry[*].push_policy)
    pull          = one(module.registry[*].pull_policy)
    read_contract = data.aws_iam_policy_document.read_contract.json
    operate       = data.aws_iam_policy_document.operate.json
  }
}

# All that deploy, status, and doctor read. Whoever may read the state sees every value in it.
data "aws_iam_policy_document" "read_contract" {
  statement {
    sid       = "ListWorkspaces"
    actions   = ["s3:ListBucket"]
    resources = [local.bucket_arn]

    # Terraform lists with the prefix "env:/" as such.
    condition {
      test     = "StringLike"
      variable = "s3:prefix"
      values   = ["env:/*", "hybrid/*"]
    }
  }

  statement {
    sid       = "ReadState"
    actions   = ["s3:GetObject"]
    resources = [local.state_arn, "${local.state_arn}.tflock"]
  }

  dynamic "statement" {
    for_each = local.table_arns

    content {
      sid       = "ReadLock"
      actions   = ["dynamodb:GetItem"]
      resources = [statement.value]
    }
  }
}

# What plan and apply need of the backend, and unlock with it.
data "aws_iam_policy_document" "operate" {
  source_policy_documents = [data.aws_iam_policy_document.read_contract.json]

  statement {
    sid       = "WriteState"
    actions   = ["s3:PutObject"]
    resources = [local.state_arn, "${local.state_arn}.tflock"]
  }

  statement {
    sid       = "ReleaseLockFile"
    actions   = ["s3:DeleteObject"]
    resources = ["${local.state_arn}.tflock"]
  }

  dynamic "statement" {
    for_each = local.table_arns

    content {
      sid       = "LockTable"
      actions   = ["dynamodb:DescribeTable", "dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:DeleteItem"]
      resources = [statement.value]

      # Only the rows of this workspace.
      condition {
        test     = "ForAllValues:StringLike"
        variable = "dynamodb:LeadingKeys"
        values   = ["${local.bucket}/env:/${terraform.workspace}/*"]
      }
    }
  }
}
