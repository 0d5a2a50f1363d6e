# Who may pull and push. The repositories are named by their prefix, so that a new service needs no
# new policy.

locals {
  repository_arns = "arn:${data.aws_partition.current.partition}:ecr:${data.aws_region.current.name}:${data.aws_caller_identity.current.account_id}:repository/${var.prefix}/*"

  pull_actions = [
    "ecr:BatchCheckLayerAvailability",
    "ecr:BatchGetImage",
    "ecr:DescribeImages",
    "ecr:DescribeRepositories",
    "ecr:GetDownloadUrlForLayer",
    "ecr:ListImages",
  ]

  push_actions = [
    "ecr:CompleteLayerUpload",
    "ecr:InitiateLayerUpload",
    "ecr:PutImage",
    "ecr:UploadLayerPart",
  ]
}

data "aws_iam_policy_document" "pull" {
  statement {
    sid     = "Token"
    actions = ["ecr:GetAuthorizationToken"]
    # IAM knows no resource for this action.
    resources = ["*"]
  }

  statement {
    sid       = "Pull"
    actions   = local.pull_actions
    resources = [local.repository_arns]
  }
}

data "aws_iam_policy_document" "push" {
  source_policy_documents = [data.aws_iam_policy_document.pull.json]

  statement {
    sid       = "Push"
    actions   = local.push_actions
    resources = [local.repository_arns]
  }

  # The cluster's token is minted with the pull role.
  dynamic "statement" {
    for_each = aws_iam_role.pull[*].arn

    content {
      sid       = "PullRole"
      actions   = ["sts:AssumeRole"]
      resources = [statement.value]
    }
  }
}

data "aws_iam_policy_document" "trust" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type = "AWS"
      identifiers = coalescelist(
        var.pull_role_trust,
        ["arn:${data.aws_partition.current.partition}:iam::${data.aws_caller_identity.current.account_id}:root"],
      )
    }
  }
}

resource "aws_iam_role" "pull" {
  count = var.pull_role ? 1 : 0

  name        = "${var.prefix}-pull"
  description = "Pulls images of ${var.prefix} and can do nothing else"
  # A registry token lives for twelve hours.
  max_session_duration = 43200
  assume_role_policy   = data.aws_iam_policy_document.trust.json
}

resource "aws_iam_role_policy" "pull" {
  count = var.pull_role ? 1 : 0

  name   = "pull"
  role   = aws_iam_role.pull[0].id
  policy = data.aws_iam_policy_document.pull.json
}
