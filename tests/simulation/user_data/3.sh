#!/bin/sh
echo "first start, kind 3"
