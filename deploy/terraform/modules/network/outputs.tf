output "vpc_id" {
  description = "The id of the VPC."
  value       = aws_vpc.this.id
}

output "private_subnet_ids" {
  description = "The ids of the private subnets, in the order of availability_zones."
  value       = [for zone in var.availability_zones : aws_subnet.private[zone].id]
}
