module example.org/callout-client

go 1.19
