# Who may do what, as documents to attach. Nothing here is attached to anybody by itself.

locals {
  partition  = data.aws_partition.current.partition
  account_id = data.aws_caller_identity.current.account_id
  bucket     = coalesce(var.state.bucket, "hybrid-tfstate-${local.account_id}")
  bucket_arn = "arn:${local.partition}:s3:::${local.bucket}"

  # A personal workspace has to be allowed before it is there, so the documents of the environment
  # cover those that belong to it, and the documents of a personal workspace that one alone.
  own_state       = "env:/${terraform.workspace}/hybrid/terraform.tfstate"
  personal_states = local.owns_registry ? ["env:/${var.environment}-*/hybrid/terraform.tfstate"] : []
  states          = concat([local.own_state], local.personal_states)

  # A row is named BUCKET/KEY, and BUCKET/KEY-md5 where it holds the digest.
  lock_rows  = flatten([for state in local.states : ["${local.bucket}/${state}", "${local.bucket}/${state}-md5"]])
  table_arns = [for table in compact([local.lock_table]) : "arn:${local.partition}:dynamodb:${var.region}:${local.account_id}:table/${table}"]

  registry_arn = "arn:${local.partition}:ecr:${var.region}:${local.account_id}:repository/${var.project}-${var.environment}/*"

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
    resources = flatten([for state in local.states : ["${local.bucket_arn}/${state}", "${local.bucket_arn}/${state}.tflock"]])
  }

  dynamic "statement" {
    for_each = local.table_arns

    content {
      sid       = "ReadLock"
      actions   = ["dynamodb:GetItem"]
      resources = [statement.value]

      condition {
        test     = "ForAllValues:StringLike"
        variable = "dynamodb:LeadingKeys"
        values   = local.lock_rows
      }
    }
  }

  dynamic "statement" {
    for_each = compact([var.state.kms_key_arn])

    content {
      sid       = "DecryptState"
      actions   = ["kms:Decrypt"]
      resources = [statement.value]
    }
  }
}

# What plan, apply, and unlock need of the backend, and all that a personal workspace needs of AWS. To
# apply the environment's own workspace takes rights on its repositories and its role as well.
data "aws_iam_policy_document" "operate" {
  source_policy_documents = [data.aws_iam_policy_document.read_contract.json]

  statement {
    sid       = "WriteState"
    actions   = ["s3:PutObject"]
    resources = flatten([for state in local.states : ["${local.bucket_arn}/${state}", "${local.bucket_arn}/${state}.tflock"]])
  }

  statement {
    sid     = "DeleteLockFiles"
    actions = ["s3:DeleteObject"]
    # A personal workspace may be deleted, the state of the environment may not.
    resources = concat(
      [for state in local.states : "${local.bucket_arn}/${state}.tflock"],
      [for state in local.owns_registry ? local.personal_states : [local.own_state] : "${local.bucket_arn}/${state}"],
    )
  }

  dynamic "statement" {
    for_each = local.table_arns

    content {
      sid       = "LockTable"
      actions   = ["dynamodb:DescribeTable", "dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:DeleteItem"]
      resources = [statement.value]

      # Only the rows of these workspaces.
      condition {
        test     = "ForAllValues:StringLike"
        variable = "dynamodb:LeadingKeys"
        values   = local.lock_rows
      }
    }
  }

  dynamic "statement" {
    for_each = compact([var.state.kms_key_arn])

    content {
      sid       = "EncryptState"
      actions   = ["kms:GenerateDataKey"]
      resources = [statement.value]
    }
  }

  statement {
    sid       = "LookUpRegistry"
    actions   = ["ecr:DescribeRepositories", "ecr:ListTagsForResource"]
    resources = [local.registry_arn]
  }

  dynamic "statement" {
    for_each = var.pull_role ? [1] : []

    content {
      sid       = "LookUpPullRole"
      actions   = ["iam:GetRole"]
      resources = ["arn:${local.partition}:iam::${local.account_id}:role/${var.project}-${var.environment}-pull"]
    }
  }
}
