mock_provider "aws" {
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }

  mock_data "aws_region" {
    defaults = { name = "eu-central-1" }
  }

  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }
}

# Plans write no file; a test that applies would.
variables {
  backend_file = "../backend.hcl"
}

run "both_locks" {
  command = plan

  assert {
    condition     = output.backend_hcl == <<-EOT
      bucket         = "hybrid-tfstate-123456789012"
      region         = "eu-central-1"
      dynamodb_table = "hybrid-tflock"
      use_lockfile   = true
    EOT
    error_message = "backend.hcl is not right: ${output.backend_hcl}"
  }

  assert {
    condition     = aws_dynamodb_table.lock[0].deletion_protection_enabled && aws_dynamodb_table.lock[0].hash_key == "LockID"
    error_message = "The table is not protected, or not what Terraform expects."
  }

  assert {
    condition     = aws_s3_bucket_versioning.state.versioning_configuration[0].status == "Enabled"
    error_message = "The bucket is not versioned."
  }
}

run "the_table_can_be_left_out" {
  command = plan

  variables {
    lock_table = false
  }

  assert {
    condition     = length(aws_dynamodb_table.lock) == 0 && !strcontains(output.backend_hcl, "dynamodb_table") && strcontains(output.backend_hcl, "use_lockfile   = true")
    error_message = "The lock file is not the only lock."
  }
}

run "the_file_holds_what_the_output_says" {
  command = plan

  assert {
    condition     = terraform_data.backend_file[0].triggers_replace == ["../backend.hcl", output.backend_hcl]
    error_message = "The file would not be written again when its text changes."
  }
}

run "the_file_can_be_left_out" {
  command = plan

  variables {
    backend_file = ""
  }

  assert {
    condition     = length(terraform_data.backend_file) == 0
    error_message = "The file is written."
  }
}

run "the_bucket_is_private_encrypted_and_keeps_old_versions_for_a_while" {
  command = plan

  assert {
    condition = (
      aws_s3_bucket_public_access_block.state.block_public_acls
      && aws_s3_bucket_public_access_block.state.block_public_policy
      && aws_s3_bucket_public_access_block.state.ignore_public_acls
      && aws_s3_bucket_public_access_block.state.restrict_public_buckets
    )
    error_message = "The bucket can be made public."
  }

  assert {
    condition = alltrue([
      for rule in aws_s3_bucket_server_side_encryption_configuration.state.rule :
      rule.apply_server_side_encryption_by_default[0].sse_algorithm == "AES256"
    ])
    error_message = "The bucket is not encrypted."
  }

  assert {
    condition = (
      aws_s3_bucket_lifecycle_configuration.state.rule[0].noncurrent_version_expiration[0].noncurrent_days == 90
      && aws_s3_bucket_lifecycle_configuration.state.rule[0].expiration[0].expired_object_delete_marker
    )
    error_message = "Old versions, or the markers of released lock files, stay for ever."
  }
}

run "only_tls_is_allowed" {
  command = plan

  assert {
    condition = (
      data.aws_iam_policy_document.tls_only.statement[0].effect == "Deny"
      && join(" ", data.aws_iam_policy_document.tls_only.statement[0].actions) == "s3:*"
      && one(data.aws_iam_policy_document.tls_only.statement[0].condition).variable == "aws:SecureTransport"
    )
    error_message = "The bucket can be reached without TLS."
  }
}

run "a_key_of_ones_own_is_the_backends_too" {
  command = plan

  variables {
    kms_key_arn = "arn:aws:kms:eu-central-1:123456789012:key/0b0c7a9e-5c0a-4b3f-8f0e-2f3f4d5e6f70"
  }

  assert {
    condition     = strcontains(output.backend_hcl, "kms_key_id     = \"arn:aws:kms:eu-central-1:123456789012:key/")
    error_message = "The backend would write its states with another key."
  }
}

run "names_that_s3_refuses_are_refused_first" {
  command = plan

  variables {
    bucket = "My_States"
  }

  expect_failures = [var.bucket]
}

run "an_address_is_no_name_for_a_bucket" {
  command = plan

  variables {
    bucket = "192.168.0.1"
  }

  expect_failures = [var.bucket]
}

run "names_that_are_too_long_are_refused_first" {
  command = plan

  variables {
    name = "a-name-that-with-its-ending-is-longer-than-63"
  }

  expect_failures = [var.name]
}

run "what_is_no_key_is_refused" {
  command = plan

  variables {
    kms_key_arn = "my-key"
  }

  expect_failures = [var.kms_key_arn]
}
