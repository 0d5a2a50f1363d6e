output "bucket" {
  description = "The bucket that keeps the states."
  value       = aws_s3_bucket.state.bucket
}

output "lock_table" {
  description = "The table that keeps the locks, or null."
  value       = one(aws_dynamodb_table.lock[*].name)
}

output "backend_hcl" {
  description = "The backend settings of the root: terraform output -raw backend_hcl > ../backend.hcl"
  value = join("\n", concat(
    [
      "bucket         = ${jsonencode(aws_s3_bucket.state.bucket)}",
      "region         = ${jsonencode(data.aws_region.current.name)}",
    ],
    [for table in aws_dynamodb_table.lock[*].name : "dynamodb_table = ${jsonencode(table)}"],
    ["use_lockfile   = true", ""],
  ))
}
