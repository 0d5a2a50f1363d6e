mock_provider "aws" {
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }

  mock_data "aws_partition" {
    defaults = { partition = "aws", dns_suffix = "amazonaws.com" }
  }

  mock_data "aws_region" {
    defaults = { name = "eu-central-1" }
  }

  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }
}

variables {
  prefix      = "knowledge-repo-dev"
  moving_tags = ["dev", "dev-*"]
  repositories = {
    web = {}
    api = { tag_mutability = "IMMUTABLE" }
  }
}

run "repositories_are_scanned_and_encrypted" {
  command = plan

  assert {
    condition = alltrue([
      for repository in values(aws_ecr_repository.this) :
      repository.image_scanning_configuration[0].scan_on_push
      && repository.encryption_configuration[0].encryption_type == "AES256"
      && !repository.force_delete
    ])
    error_message = "A repository is not scanned, not encrypted, or easy to lose."
  }

  assert {
    condition = (
      aws_ecr_repository.this["web"].name == "knowledge-repo-dev/web"
      && aws_ecr_repository.this["web"].image_tag_mutability == "MUTABLE"
      && aws_ecr_repository.this["api"].image_tag_mutability == "IMMUTABLE"
    )
    error_message = "A repository has another name or mutability."
  }
}

run "the_moving_tag_is_protected_before_anything_expires" {
  command = plan

  variables {
    keep_images = 20
  }

  assert {
    condition = [
      for rule in jsondecode(aws_ecr_lifecycle_policy.this["web"].policy).rules : rule.selection.tagStatus
    ] == ["tagged", "untagged", "any"]
    error_message = "The rules are not in the order that protects."
  }

  assert {
    condition = (
      jsondecode(aws_ecr_lifecycle_policy.this["web"].policy).rules[0].selection.tagPatternList == ["dev", "dev-*"]
      && jsondecode(aws_ecr_lifecycle_policy.this["web"].policy).rules[2].selection.countNumber == 20
    )
    error_message = "The rules do not say what was asked for."
  }
}

run "the_pull_role_can_be_left_out" {
  command = plan

  variables {
    pull_role = false
  }

  assert {
    condition     = length(aws_iam_role.pull) == 0 && output.pull_role_arn == null
    error_message = "There is a pull role."
  }
}

run "upper_case_is_refused" {
  command = plan

  variables {
    repositories = { Web = {} }
  }

  expect_failures = [var.repositories]
}

run "whoever_may_pull_cannot_push" {
  command = plan

  assert {
    condition = alltrue([
      for action in flatten([for statement in data.aws_iam_policy_document.pull.statement : statement.actions]) :
      can(regex("^ecr:(Batch(Check|Get)|Describe|Get|List)", action)) && !strcontains(action, "*")
    ])
    error_message = "The policy for pulling allows more than that."
  }

  assert {
    condition = alltrue([
      for statement in concat(data.aws_iam_policy_document.pull.statement, [data.aws_iam_policy_document.push.statement[0]]) :
      join(" ", statement.actions) == "ecr:GetAuthorizationToken" || !contains(statement.resources, "*")
    ])
    error_message = "A policy reaches repositories of others."
  }
}

run "force_delete_is_asked_for" {
  command = plan

  variables {
    force_delete = true
  }

  assert {
    condition     = alltrue([for repository in values(aws_ecr_repository.this) : repository.force_delete])
    error_message = "A destroy would end at the first image."
  }
}

run "a_key_of_ones_own_encrypts_the_layers" {
  command = plan

  variables {
    kms_key_arn = "arn:aws:kms:eu-central-1:123456789012:key/0b0c7a9e-5c0a-4b3f-8f0e-2f3f4d5e6f70"
  }

  assert {
    condition     = aws_ecr_repository.this["web"].encryption_configuration[0].encryption_type == "KMS"
    error_message = "The layers are not encrypted with the key."
  }
}

run "another_mutability_is_refused" {
  command = plan

  variables {
    repositories = { web = { tag_mutability = "SOMETIMES" } }
  }

  expect_failures = [var.repositories]
}

run "keeping_nothing_is_refused" {
  command = plan

  variables {
    keep_images = 0
  }

  expect_failures = [var.keep_images]
}

run "ecr_takes_four_wildcards_and_no_more" {
  command = plan

  variables {
    moving_tags = ["a*", "b*", "c*", "d*", "e*"]
  }

  expect_failures = [var.moving_tags]
}
