#!/bin/sh
echo "first start, kind 1"
