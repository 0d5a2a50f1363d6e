output "bucket" {
  description = "The bucket that keeps the states."
  value       = aws_s3_bucket.state.bucket
}

output "lock_table" {
  description = "The table that keeps the locks, or null."
  value       = one(aws_dynamodb_table.lock[*].name)
}

output "backend_hcl" {
  description = "The backend settings of the root, as they are in backend_file."
  value       = local.backend_hcl
}
