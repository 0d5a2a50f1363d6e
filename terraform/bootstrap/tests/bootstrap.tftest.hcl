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
