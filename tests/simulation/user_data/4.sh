#!/bin/sh
echo "first start, kind 4"
