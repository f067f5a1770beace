output "registry" {
  description = "The registry with the prefix, for `make images REGISTRY=…`."
  value       = trimsuffix(values(aws_ecr_repository.this)[0].repository_url, "/${keys(aws_ecr_repository.this)[0]}")
}

output "repository_urls" {
  description = "The repository of each image, by the image's name."
  value       = { for image, repository in aws_ecr_repository.this : image => repository.repository_url }
}
